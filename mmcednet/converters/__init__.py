"""The authors' released configs and checkpoints, turned into ours."""
