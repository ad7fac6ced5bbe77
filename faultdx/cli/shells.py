"""The completion scripts of bash, zsh and fish, from a description of the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from faultdx import __version__


@dataclass(frozen=True)
class Option:
    """An option: its names, what it is for, and what follows it: "" nothing, "words", "path", or "text"."""

    names: tuple[str, ...]
    help: str
    takes: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command: its options, and its arguments: "" none, "words", "path", "words or path" or "text"."""

    name: str
    help: str
    options: tuple[Option, ...]
    takes: str
    words: tuple[str, ...] = ()


HELP = Option(("--help", "-h"), "Show the help and exit.", "")
Root = tuple[Option, ...]
# The classes of the model that the command line names, read as faultdx writes them: one a line. Plain names
# only: bash expands what it is given to choose from.
_SED = r"""sed -n '/^  "classes": \[/,/^  \]/s/^    "\([A-Za-z0-9_.+-]*\)",\{0,1\}$/\1/p'"""

_BASH_FUNCTIONS = """\
_faultdx_classes() {
    local i folder= file
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == --model ]] || continue
        folder=${COMP_WORDS[i + 1]}
        [[ $folder == = ]] && folder=${COMP_WORDS[i + 2]}
    done
    folder=${folder/#\\~\\//$HOME/}
    for file in "$folder/model.json" "$folder/model/model.json"; do
        [[ -n $folder && -r $file ]] || continue
        @SED@ "$file"
        return
    done
}

_faultdx() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= ended= words= options= i
    COMPREPLY=()
    # bash takes --option=value apart at the sign
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            ended=yes
        elif [[ -z $command && ${COMP_WORDS[i]} != -* ]]; then
            command=${COMP_WORDS[i]}
        fi
    done
    if [[ -z $ended ]]; then
        case "$command $before" in
"""

_BASH_REST = """\
        esac
    fi
    case $command in
"""

_BASH_END = """\
    esac
    [[ $word == -* && -z $ended ]] && words=$options
    if [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    fi
}

complete -o bashdefault -o default -F _faultdx faultdx"""


def bash(commands: Sequence[Command], root: Root) -> str:
    """Return the script for bash 4 or newer. Paths are left to readline, which knows how to quote them."""
    lines = [f"# bash completion of faultdx {__version__}, made by `faultdx completion bash`"]
    lines += _BASH_FUNCTIONS.replace("@SED@", _SED).splitlines()
    bodies: dict[str, list[str]] = {}
    for command in commands:
        for option in command.options:
            if option.takes:
                names = [f"'{command.name} {name}'" for name in option.names]
                bodies.setdefault(_bash_value(option), []).extend(names)
    for body, names in bodies.items():
        lines.append("            " + " | ".join(names) + ")")
        lines.append(f"                {body} ;;")
    lines += _BASH_REST.splitlines()
    lines.append(f"        '') words='{' '.join(c.name for c in commands)}' options='{_names(root)}' ;;")
    for command in commands:
        # where none of the words fits, readline goes on with the names of files
        words = f" words='{' '.join(command.words)}'" if command.takes.startswith("words") else ""
        lines.append(f"        {command.name}) options='{_names(command.options)}'{words} ;;")
    return "\n".join([*lines, _BASH_END]) + "\n"


def _bash_value(option: Option) -> str:
    if option.takes == "path":
        return "return"
    nothing = "compopt +o bashdefault +o default 2>/dev/null; return"  # no file names where a number is meant
    if option.takes == "text":
        return nothing
    more = " $(_faultdx_classes)" if "--fail-on" in option.names else ""
    return f'COMPREPLY=($(compgen -W "{" ".join(option.words)}{more}" -- "$word")); {nothing}'


def _names(options: Sequence[Option]) -> str:
    return " ".join(name for option in options for name in option.names)


_ZSH_START = """\
_faultdx() {
  local word=${words[CURRENT]} before=${words[CURRENT-1]} command= ended= folder= file i
  local -a found
  if [[ $word == --*=* ]]; then
    before=${word%%=*}
    compset -P '*='
  fi
  for ((i = 2; i < CURRENT; i++)); do
    if [[ ${words[i]} == -- ]]; then
      ended=yes
    elif [[ -z $command && ${words[i]} != -* ]]; then
      command=${words[i]}
    fi
    [[ ${words[i]} == --model ]] && folder=${(Q)words[i+1]}
    [[ ${words[i]} == --model=* ]] && folder=${(Q)words[i]#--model=}
  done
  folder=${folder/#\\~\\//$HOME/}
  if [[ -z $ended ]]; then
    case "$command $before" in"""

_ZSH_END = """\
  esac
  _files
}

if [[ $funcstack[1] == _faultdx ]]; then
  _faultdx "$@"
else
  compdef _faultdx faultdx
fi"""

_ZSH_CLASSES = """\
        for file in "$folder/model.json" "$folder/model/model.json"; do
          [[ -n $folder && -r $file ]] && compadd -- ${(f)"$(@SED@ "$file")"}
        done"""


def zsh(commands: Sequence[Command], root: Root) -> str:
    """Return the script for zsh: to be evaluated after compinit, or put into a folder of $fpath as _faultdx."""
    lines = ["#compdef faultdx", f"# zsh completion of faultdx {__version__}, made by `faultdx completion zsh`"]
    lines += _ZSH_START.splitlines()
    for command in commands:
        for option in command.options:
            if not option.takes:
                continue
            lines.append("      " + "|".join(f"'{command.name} {name}'" for name in option.names) + ")")
            if option.takes == "path":
                lines.append("        _files")
            elif option.takes == "words":
                lines.append(f"        compadd -- {' '.join(option.words)}")
            if "--fail-on" in option.names:
                lines += _ZSH_CLASSES.replace("@SED@", _SED).splitlines()
            lines.append("        return ;;")
    lines += ["    esac", "  fi", "  case $command in"]
    lines += ["    '')", *_zsh_described(root), "      found=("]
    lines += [f"        {_zsh_word(c.name, c.help)}" for c in commands]
    lines += ["      )", "      _describe command found", "      return ;;"]
    for command in commands:
        lines += [f"    {command.name})", *_zsh_described(command.options)]
        if command.takes.startswith("words"):
            lines += [f"      compadd -- {' '.join(command.words)}"]
            lines.append("      ;;" if command.takes.endswith("path") else "      return ;;")
        else:
            lines.append("      ;;" if command.takes == "path" else "      return ;;")
    return "\n".join([*lines, _ZSH_END]) + "\n"


def _zsh_described(options: Sequence[Option]) -> list[str]:
    lines = ["      if [[ $word == -* && -z $ended ]]; then", "        found=("]
    lines += [f"          {_zsh_word(name, option.help)}" for option in options for name in option.names]
    return [*lines, "        )", "        _describe -o option found", "        return", "      fi"]


def _zsh_word(name: str, text: str) -> str:
    return _quoted(name.replace(":", "\\:") + ":" + text)


def _quoted(text: str) -> str:
    """Return a text in single quotes, for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


_FISH_CLASSES = """\
function __faultdx_classes
    set -l words (commandline -opc)
    set -l folder
    for i in (seq (count $words))
        if test "$words[$i]" = --model; and test $i -lt (count $words)
            set folder $words[(math $i + 1)]
        end
        if string match -q -- '--model=*' $words[$i]
            set folder (string replace -- '--model=' '' $words[$i])
        end
    end
    set folder (string replace -r '^~/' "$HOME/" -- $folder)
    for file in $folder/model.json $folder/model/model.json
        if test -r $file
            @SED@ $file
            return
        end
    end
end"""


def fish(commands: Sequence[Command], root: Root) -> str:
    """Return the script for fish: to be put into ~/.config/fish/completions as faultdx.fish."""
    lines = [f"# fish completion of faultdx {__version__}, made by `faultdx completion fish`"]
    lines += _FISH_CLASSES.replace("@SED@", _SED).splitlines()
    lines.append("complete -c faultdx -f")
    for option in root:
        lines.append(f"complete -c faultdx -n __fish_use_subcommand {_fish_option(option)}")
    for command in commands:
        lines.append(f"complete -c faultdx -n __fish_use_subcommand -a {command.name} -d {_fish_quoted(command.help)}")
        here = f"complete -c faultdx -n '__fish_seen_subcommand_from {command.name}'"
        if command.takes == "path":
            lines.append(f"{here} -F")
        elif command.takes.startswith("words"):
            files = " -F" if command.takes.endswith("path") else ""
            lines.append(f"{here}{files} -a '{' '.join(command.words)}'")
        lines += [f"{here} {_fish_option(option)}" for option in command.options]
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
    more = " (__faultdx_classes)" if "--fail-on" in option.names else ""
    takes = {"path": " -r -F", "text": " -x", "words": f" -x -a '{' '.join(option.words)}{more}'", "": ""}
    return f"{names}{takes[option.takes]} -d {_fish_quoted(option.help)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS: Mapping[str, Callable[[Sequence[Command], Root], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
