"""What the bridge is measured by. Not part of the package."""
