-- The last row of each image. Read this, not the table: an image that was done again has two rows.
CREATE OR REPLACE VIEW flowers.latest AS
SELECT *
FROM flowers.results
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY source_uri, source_id ORDER BY processed_at DESC) = 1;
