WITH
-- segment new: conditions[0]: event_count
c0 AS (
  SELECT user_id
  FROM events FINAL
  WHERE event_type = {c0_event_type:String}
    AND occurred_at <= {at:DateTime64(3, 'UTC')}
  GROUP BY user_id
  HAVING count() >= {c0_value:UInt64}
),
-- conditions[2]: segment_membership
c1 AS (
  SELECT user_id
  FROM segment_memberships FINAL
  WHERE segment_id = {c1_segment_id:UInt64}
)
SELECT user_id
FROM c1
WHERE (user_id IN c0)
  AND NOT (NOT (user_id IN c0))

-- c0_event_type = 'order_placed'
-- c0_value = 5
-- c1_segment_id = 7
