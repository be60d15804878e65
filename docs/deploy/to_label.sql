-- What to label next: photos the model is least sure of, which teach it most, and as many at
-- random, which alone tell how good it is.
(SELECT source_uri, label, confidence, 'unsure' AS chosen
 FROM flowers.latest WHERE status = 'ok' AND known IS NOT FALSE ORDER BY confidence LIMIT 150)
UNION ALL
(SELECT source_uri, label, confidence, 'random'
 FROM flowers.latest WHERE status = 'ok' ORDER BY RAND() LIMIT 150)
