"""Pictures of a training: a progress bar, curves, and predictions in a grid."""
