"""Pure rules over a recorded configuration; diagnosis joins them with a finding."""
