WITH
-- conditions[0]: property_held
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, arraySort(groupArray((occurred_at, ingested_at, UUIDToNum(event_id), (JSONType(payload, {c0_key0:String}) = 'String' AND JSONExtractString(payload, {c0_key0:String}) = {c0_value:String})))) AS history, arrayLastIndex(identification -> NOT identification.4, history) AS broken
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE broken < length(history)
    AND history[broken + 1].1 <= {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({c0_held_ms:Int64})
)
SELECT user_id
FROM c0

-- c0_key0 = 'plan'
-- c0_value = 'gold'
-- c0_held_ms = 604800000
