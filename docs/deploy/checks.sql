-- New rows a day for a month, those that failed, those that show no species of the model, and how
-- sure the model was.
SELECT DATE(processed_at) AS day, COUNT(*) AS images, COUNTIF(status = 'error') AS failed,
       COUNTIF(NOT known) AS not_known, AVG(confidence) AS mean_confidence
FROM flowers.results
WHERE processed_at > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY)
GROUP BY day
ORDER BY day DESC;

-- Species by day: a sudden change is a change of the photos, or of the model.
SELECT DATE(processed_at) AS day, label, model, COUNT(*) AS images
FROM flowers.latest
WHERE status = 'ok' AND known IS NOT FALSE
      AND processed_at > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY)
GROUP BY day, label, model
ORDER BY day DESC, images DESC;

-- Failures by code, with a photo of each.
SELECT error.code, COUNT(*) AS images, ANY_VALUE(source_uri) AS example
FROM flowers.latest
WHERE status = 'error'
GROUP BY error.code
ORDER BY images DESC;

-- Must be empty: an image that was answered twice.
SELECT source_uri, source_version, source_id, COUNT(*) AS answers
FROM flowers.results
WHERE status = 'ok'
GROUP BY source_uri, source_version, source_id
HAVING COUNT(*) > 1;
