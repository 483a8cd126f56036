"""Options of the programs: names, types, defaults and checks."""
