"""What every room needs: errors, labels, files that appear whole, Hub ids."""
