WITH
-- conditions[0]: event_sequence
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, arraySort(groupArrayIf(occurred_at, event_type = {c0_step0:String} AND (JSONType(payload, {c0_step0_where0_key0:String}) = 'String' AND JSONExtractString(payload, {c0_step0_where0_key0:String}) = {c0_step0_where0_value:String}))) AS times0, arraySort(groupArrayIf(occurred_at, event_type = {c0_step1:String})) AS times1, arrayFirstOrNull(time -> true, times0) AS reached0, arrayFirstOrNull(time -> ifNull(time > reached0, false), times1) AS reached1
    FROM events FINAL
    WHERE event_type IN ({c0_step0:String}, {c0_step1:String})
      AND occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE reached1 IS NOT NULL
)
SELECT user_id
FROM c0

-- c0_step0 = 'page_viewed'
-- c0_step0_where0_key0 = 'page'
-- c0_step0_where0_value = 'shop'
-- c0_step1 = 'order_placed'
