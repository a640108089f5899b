-- How many calls the processor takes in this moment.

-- name: open
-- Open the budget of an account ($1, $2) with nothing in it, from $3 on (nothing: now, by the server's clock). One that is
-- there stays as it is.
INSERT INTO rate_budgets (account, livemode, tokens, look_up, reconcile, catch_up, refilled_at)
VALUES ($1, $2, 0, 0, 0, 0, coalesce($3::timestamptz, clock_timestamp())) ON CONFLICT DO NOTHING;

-- name: lease
-- Refill the budget of an account ($1, $2) up to the moment $3 (nothing: now, by the server's clock), and take from it as
-- many whole tokens as are wanted ($7) and there: for charges; for charges to come; for look-ups, reconciliation and
-- catching up. Each of the four buckets (all, and the three kinds of question) has its rate by the second ($4) and its
-- capacity ($5); whoever comes after the charges leaves so much of the first ($6). Amounts but for $4 and $7 are in
-- millionths. Locks the row, for this statement alone.
WITH held AS (
    SELECT tokens, look_up, reconcile, catch_up, refilled_at,
           greatest(refilled_at, coalesce($3::timestamptz, clock_timestamp())) AS until
      FROM rate_budgets WHERE account = $1 AND livemode = $2 FOR UPDATE
), passed AS (
    SELECT *, least(extract(epoch FROM until - refilled_at) * 1000000, 60000000)::bigint AS microseconds FROM held
), refilled AS (
    SELECT until,
           least(($5::bigint[])[1], tokens + microseconds * ($4::bigint[])[1]) AS tokens,
           least(($5::bigint[])[2], look_up + microseconds * ($4::bigint[])[2]) AS look_up,
           least(($5::bigint[])[3], reconcile + microseconds * ($4::bigint[])[3]) AS reconcile,
           least(($5::bigint[])[4], catch_up + microseconds * ($4::bigint[])[4]) AS catch_up
      FROM passed
), charged AS (
    SELECT *, least(($7::bigint[])[1], tokens / 1000000) AS charges FROM refilled
), ahead AS (
    SELECT *, least(($7::bigint[])[2],
                    greatest(tokens - 1000000 * charges - ($6::bigint[])[1], 0) / 1000000) AS to_come
      FROM charged
), looked AS (
    SELECT *, least(($7::bigint[])[3], look_up / 1000000,
                    greatest(tokens - 1000000 * (charges + to_come) - ($6::bigint[])[1], 0) / 1000000) AS look_ups
      FROM ahead
), compared AS (
    SELECT *, least(($7::bigint[])[4], reconcile / 1000000,
                    greatest(tokens - 1000000 * (charges + to_come + look_ups) - ($6::bigint[])[2], 0) / 1000000)
              AS reconciliations
      FROM looked
), caught AS (
    SELECT *, least(($7::bigint[])[5], catch_up / 1000000,
                    greatest(tokens - 1000000 * (charges + to_come + look_ups + reconciliations) - ($6::bigint[])[3], 0)
                    / 1000000) AS catch_ups
      FROM compared
)
UPDATE rate_budgets AS b
   SET tokens = c.tokens - 1000000 * (charges + to_come + look_ups + reconciliations + catch_ups),
       look_up = c.look_up - 1000000 * look_ups,
       reconcile = c.reconcile - 1000000 * reconciliations,
       catch_up = c.catch_up - 1000000 * catch_ups,
       refilled_at = c.until
  FROM caught AS c
 WHERE b.account = $1 AND b.livemode = $2
RETURNING charges, to_come, look_ups, reconciliations, catch_ups, b.tokens;

-- name: empty
-- Leave nothing in the budget of an account ($1, $2), and refill it only from so long ($4) after $3 on (nothing: now, by the
-- server's clock).
UPDATE rate_budgets
   SET tokens = 0, look_up = 0, reconcile = 0, catch_up = 0,
       refilled_at = greatest(refilled_at, coalesce($3::timestamptz, clock_timestamp()) + $4::interval)
 WHERE account = $1 AND livemode = $2;
