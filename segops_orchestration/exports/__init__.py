"""Members as files: CSV and Parquet, written by ClickHouse itself and whole or not at all."""
