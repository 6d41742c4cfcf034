WITH
-- conditions[0]: event_count
c0 AS (
  SELECT user_id
  FROM events FINAL
  WHERE event_type = {c0_event_type:String}
    AND occurred_at <= {at:DateTime64(3, 'UTC')}
  GROUP BY user_id
  HAVING count() >= {c0_value:UInt64}
),
-- conditions[1].conditions[0]: recency
c1 AS (
  SELECT user_id
  FROM events FINAL
  WHERE event_type = {c1_event_type:String}
    AND occurred_at <= {at:DateTime64(3, 'UTC')}
    AND occurred_at > {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({c1_window_ms:Int64})
  GROUP BY user_id
),
-- conditions[1].conditions[1].condition.conditions[0]: event_count
c2 AS (
  SELECT user_id
  FROM events FINAL
  WHERE event_type = {c2_event_type:String}
    AND occurred_at <= {at:DateTime64(3, 'UTC')}
  GROUP BY user_id
  HAVING count() >= {c2_value:UInt64}
),
-- conditions[1].conditions[1].condition.conditions[1]: segment_membership
c3 AS (
  SELECT user_id
  FROM segment_memberships FINAL
  WHERE segment_id = {c3_segment_id:UInt64}
),
-- conditions[2].condition: user_property
c4 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE NOT (JSONType(latest, {c4_key0:String}) = 'Null')
)
SELECT user_id
FROM c0
WHERE (user_id IN c1
    OR NOT ((user_id IN c2
      AND user_id IN c3)))
  AND NOT (user_id IN c4)

-- c0_event_type = 'order_placed'
-- c0_value = 1
-- c1_window_ms = 604800000
-- c1_event_type = 'order_placed'
-- c2_event_type = 'page_viewed'
-- c2_value = 1
-- c3_segment_id = 7
-- c4_key0 = 'plan'
