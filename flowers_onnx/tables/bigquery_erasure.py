"""BigQuery: rows that are to be gone from a table, by one DELETE statement."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from flowers_onnx.errors import OutputError
from flowers_onnx.tables.bigquery import BigQueryTable  # or says which extra is missing

from google.api_core import exceptions  # isort: skip
from google.cloud import bigquery  # isort: skip


class ErasableTable(BigQueryTable):
    """A table whose rows may be deleted."""

    def erase(self, values: Mapping[str, Collection[str]], *, dry_run: bool) -> int:
        """Delete the rows with one of these values in one of these columns, by column.

        Returns how many there were; with ``dry_run``, how many there are. Raises ``OutputError``:
        rows that were inserted, not loaded, can't be deleted at first.
        """
        given = {column: sorted(each) for column, each in values.items() if each}
        condition = " OR ".join(f"{column} IN UNNEST(@{column})" for column in given)
        name = f"`{self._project}.{self._dataset}.{self._table}`"
        what = "SELECT COUNT(*) FROM" if dry_run else "DELETE FROM"
        config = bigquery.QueryJobConfig(
            query_parameters=[
                bigquery.ArrayQueryParameter(column, "STRING", each)
                for column, each in given.items()
            ],
            use_query_cache=False,
        )
        with self._plain_errors():
            table = self._find()
            if table is None or not given:
                return 0
            try:
                rows = self._client.query_and_wait(
                    f"{what} {name} WHERE {condition}", job_config=config, location=table.location
                )
            except exceptions.BadRequest as error:
                if "streaming buffer" in str(error):
                    raise OutputError(
                        f"{self._uri}: BigQuery deletes no rows that were inserted within the last "
                        "90 minutes, as --fresh does; run this command again then"
                    ) from error
                raise
            return int(next(iter(rows))[0] if dry_run else rows.num_dml_affected_rows or 0)
