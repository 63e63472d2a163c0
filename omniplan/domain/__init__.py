"""Values that every layer shares: headers, models, machines, parameters, footprints, plans."""
