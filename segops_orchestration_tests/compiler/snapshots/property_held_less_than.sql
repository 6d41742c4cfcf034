WITH
-- conditions[0]: property_held
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, arraySort(groupArray((occurred_at, ingested_at, UUIDToNum(event_id), NOT (NOT (JSONType(payload, {c0_key0:String}) = 'Null'))))) AS history, arrayLastIndex(identification -> NOT identification.4, history) AS broken
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE broken < length(history)
    AND history[broken + 1].1 > {at:DateTime64(3, 'UTC')} - toIntervalMonth({c0_held_months:Int64})
)
SELECT user_id
FROM c0

-- c0_key0 = 'plan'
-- c0_held_months = 1
