"""Progress bar, charts, losses, drawings of labels and predictions, pictures in a grid."""
