"""The start and the end of trainings and tests: options, device, processes, runner."""
