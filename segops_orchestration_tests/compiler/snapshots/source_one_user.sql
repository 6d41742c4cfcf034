WITH
-- conditions[0]: event_count
c0 AS (
  SELECT user_id
  FROM events_by_user FINAL
  WHERE event_type = {c0_event_type:String}
    AND occurred_at <= {at:DateTime64(3, 'UTC')}
    AND user_id = {user_id:String}
  GROUP BY user_id
  HAVING count() >= {c0_value:UInt64}
),
-- conditions[1]: user_property
c1 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
      AND user_id = {user_id:String}
    GROUP BY user_id
  )
  WHERE NOT (JSONType(latest, {c1_key0:String}) = 'Null')
),
-- conditions[2]: segment_membership
c2 AS (
  SELECT user_id
  FROM segment_memberships FINAL
  WHERE segment_id = {c2_segment_id:UInt64}
    AND user_id = {user_id:String}
)
SELECT user_id
FROM c0
WHERE user_id IN c1
  AND user_id IN c2

-- c0_event_type = 'order_placed'
-- c0_value = 1
-- c1_key0 = 'plan'
-- c2_segment_id = 7
