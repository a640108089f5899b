-- What orders usually ask for. Takes no lock.

-- name: usual
-- Of the latest $1 payments, by currency, the amount above which no more than one in a thousand asks; only of currencies
-- that $2 of them are in.
SELECT currency, percentile_disc(0.999) WITHIN GROUP (ORDER BY amount) AS amount
  FROM (SELECT currency, amount FROM payments ORDER BY id DESC LIMIT $1) AS latest
 GROUP BY currency HAVING count(*) >= $2;
