"""Linear laws of fields on a grid."""
