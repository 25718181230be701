"""The SMP servers: the application's, group by group, and that of MCUboot's serial recovery."""
