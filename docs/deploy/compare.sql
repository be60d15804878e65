-- Two models on the same photos: how often each pair of answers came. What is off the diagonal
-- is worth looking at.
SELECT old.label AS old_label, new.label AS new_label, COUNT(*) AS images,
       AVG(old.confidence) AS old_confidence, AVG(new.confidence) AS new_confidence,
       COUNTIF(NOT old.known) AS old_not_known, COUNTIF(NOT new.known) AS new_not_known
FROM flowers.results AS old
JOIN flowers.results_v2 AS new USING (source_uri, source_version)
WHERE old.status = 'ok' AND new.status = 'ok'
GROUP BY old_label, new_label
ORDER BY images DESC;
