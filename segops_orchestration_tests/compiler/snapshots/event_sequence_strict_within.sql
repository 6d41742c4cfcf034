WITH
-- conditions[0]: event_sequence
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, arraySort(groupArray((occurred_at, ingested_at, UUIDToNum(event_id), [event_type = {c0_step0:String} AND (JSONType(payload, {c0_step0_where0_key0:String}) = 'String' AND JSONExtractString(payload, {c0_step0_where0_key0:String}) = {c0_step0_where0_value:String}), event_type = {c0_step1:String}]))) AS history
    FROM events FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
      AND user_id IN (SELECT user_id FROM events FINAL WHERE event_type = {c0_step0:String} AND (JSONType(payload, {c0_step0_where0_key0:String}) = 'String' AND JSONExtractString(payload, {c0_step0_where0_key0:String}) = {c0_step0_where0_value:String})   AND occurred_at <= {at:DateTime64(3, 'UTC')} GROUP BY user_id)
    GROUP BY user_id
  )
  WHERE length(history) > 1
    AND arrayExists(i -> history[i + 0].4[1] AND history[i + 1].4[2] AND history[i + 0].1 < history[i + 1].1 AND history[i + 1].1 <= history[i].1 + toIntervalMonth({c0_within_months:Int64}), range(1, length(history) - 1 + 1))
)
SELECT user_id
FROM c0

-- c0_step0 = 'page_viewed'
-- c0_step0_where0_key0 = 'page'
-- c0_step0_where0_value = 'shop'
-- c0_step1 = 'order_placed'
-- c0_within_months = 1
