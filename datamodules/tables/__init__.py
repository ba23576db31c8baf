"""Tables that datasets come with: CSV files and TFRecord files."""
