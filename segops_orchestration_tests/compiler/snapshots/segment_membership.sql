WITH
-- conditions[0]: segment_membership
c0 AS (
  SELECT user_id
  FROM segment_memberships FINAL
  WHERE segment_id = {c0_segment_id:UInt64}
)
SELECT user_id
FROM c0

-- c0_segment_id = 7
