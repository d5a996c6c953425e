"""What MkDocs does not do by itself: nothing yet."""
