"""Where the rows of a pipeline go: files of JSON Lines or Parquet, or a BigQuery table.

Columns and their types are those of ``flowers_onnx.tables``, so that a result of one may be
read, and a table of one be added to, by the other.
"""

from __future__ import annotations

import apache_beam as beam

from flowers_onnx.beam.options import Files, Table
from flowers_onnx.record import to_json
from flowers_onnx.tables.rows import RESULTS, Row


def write(rows: beam.PCollection[Row], target: Files | Table, label: str) -> None:
    """Write ``rows``; files appear under their names when all are complete."""
    match target:
        case Table(name):
            rows | f"{label}: cells" >> beam.Map(RESULTS.table_row) | label >> _to_table(name)
        case Files(prefix, suffix) if suffix.lower() == ".parquet":
            from flowers_onnx.tables.parquet import arrow_schema

            to_files = beam.io.WriteToParquet(
                prefix, arrow_schema(RESULTS), file_name_suffix=suffix, codec="zstd"
            )
            rows | f"{label}: cells" >> beam.Map(RESULTS.parquet_row) | label >> to_files
        case Files(prefix, suffix):
            to_files = beam.io.WriteToText(prefix, file_name_suffix=suffix, skip_if_empty=True)
            rows | f"{label}: lines" >> beam.Map(to_json) | label >> to_files


def _to_table(name: str) -> beam.PTransform:
    return beam.io.WriteToBigQuery(
        name,
        schema=table_schema(),
        # Loads are free, and what a failed bundle has written isn't loaded.
        method=beam.io.WriteToBigQuery.Method.FILE_LOADS,
        create_disposition=beam.io.BigQueryDisposition.CREATE_IF_NEEDED,
        write_disposition=beam.io.BigQueryDisposition.WRITE_APPEND,
        additional_bq_parameters={
            # For a table that an earlier version has made.
            "schemaUpdateOptions": ["ALLOW_FIELD_ADDITION"],
            "timePartitioning": {"type": "DAY", "field": RESULTS.time},
            "clustering": {"fields": [RESULTS.group]},
        },
    )


def table_schema() -> dict[str, object]:
    """The schema as BigQuery's REST API has it."""
    from flowers_onnx.tables.bigquery_columns import table_schema as columns_of

    columns = columns_of(RESULTS)
    return {"fields": [column.to_api_repr() for column in columns]}
