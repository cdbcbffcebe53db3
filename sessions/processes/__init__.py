"""Child processes: started, metered and ended as whole trees."""
