WITH
-- conditions[0]: event_property
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM events FINAL
    WHERE event_type = {c0_event_type:String}
      AND occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE NOT (NOT (JSONType(latest, {c0_key0:String}) = 'Null'))
)
SELECT user_id
FROM c0

-- c0_event_type = 'order_placed'
-- c0_key0 = 'coupon'
