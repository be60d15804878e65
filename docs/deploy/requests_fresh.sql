-- What `flowers serve --fresh` has inserted, each row once: the service may insert one again. Repeats are the same in
-- every column, so that a condition on `time` still reads only the days that it names.
CREATE OR REPLACE VIEW flowers.requests_now AS
SELECT *
FROM flowers.requests_fresh
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY time, request_id, part) = 1;
