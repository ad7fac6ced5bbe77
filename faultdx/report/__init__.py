"""Diagnosis -> text, JSON, HTML; a run -> its curves and its model card. Nothing here decides anything."""
