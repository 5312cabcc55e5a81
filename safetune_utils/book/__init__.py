"""From executed notebooks to a site: parameters, execution, provenance, tables, figures, verdicts, pages."""
