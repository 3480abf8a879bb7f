"""What Python makes: rows, Arrow data, DataFrames as Arrow batches of one schema; bytes and files as they are."""
