WITH
-- conditions[0]: segment_membership
c0 AS (
  SELECT user_id
  FROM segment_memberships FINAL
  WHERE segment_id = {c0_segment_id:UInt64}
)
SELECT user_id
FROM (
  SELECT user_id
  FROM users
  GROUP BY user_id
  HAVING min(first_seen) <= {at:DateTime64(3, 'UTC')}
)
WHERE user_id NOT IN c0

-- c0_segment_id = 7
