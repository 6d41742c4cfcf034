SELECT user_id
FROM users
WHERE user_id IN (
  SELECT user_id
  FROM users
  WHERE first_seen > {from_at:DateTime64(3, 'UTC')}
    AND first_seen <= {at:DateTime64(3, 'UTC')}
)
GROUP BY user_id
HAVING min(first_seen) > {from_at:DateTime64(3, 'UTC')}
UNION ALL
SELECT user_id
FROM events_by_time
WHERE event_type IN ({m0_event_type0:String})
  AND occurred_at > {from_at:DateTime64(3, 'UTC')} AND occurred_at <= {at:DateTime64(3, 'UTC')}
UNION ALL
SELECT user_id
FROM events_by_time
WHERE event_type IN ({m1_event_type0:String})
  AND occurred_at > {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m1_age_ms:Int64}) AND occurred_at <= {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m1_age_ms:Int64})
UNION ALL
SELECT user_id
FROM events
WHERE event_type IN ({m2_event_type0:String})
  AND occurred_at <= {at:DateTime64(3, 'UTC')}
  AND occurred_at > {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m2_window_ms:Int64})
  AND (dateDiff('day', {from_at:DateTime64(3, 'UTC')}, {at:DateTime64(3, 'UTC')}) > 31 OR position(payload, '\\u') > 0 OR multiSearchAny(payload,
  arrayMap(day -> toString(toDate32({from_at:DateTime64(3, 'UTC')}) + day), range(-1, toInt32(dateDiff('day', {from_at:DateTime64(3, 'UTC')}, {at:DateTime64(3, 'UTC')})) + 2))))
  AND arrayExists(m2_element1 -> ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(m2_element1, {m2_in1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(m2_element1, {m2_in1_key0:String}), ''), 3, 'UTC') > {from_at:DateTime64(3, 'UTC')} AND parseDateTime64BestEffortOrNull(if(match(JSONExtractString(m2_element1, {m2_in1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(m2_element1, {m2_in1_key0:String}), ''), 3, 'UTC') <= {at:DateTime64(3, 'UTC')}, false), JSONExtractArrayRaw(payload, {m2_key0:String}))
UNION ALL
SELECT user_id
FROM events
WHERE event_type IN ({m3_event_type0:String})
  AND occurred_at <= {at:DateTime64(3, 'UTC')}
  AND occurred_at > {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m3_window_ms:Int64})
  AND (dateDiff('day', {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m3_age_ms:Int64}), {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m3_age_ms:Int64})) > 31 OR position(payload, '\\u') > 0 OR multiSearchAny(payload,
  arrayMap(day -> toString(toDate32({from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m3_age_ms:Int64})) + day), range(-1, toInt32(dateDiff('day', {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m3_age_ms:Int64}), {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m3_age_ms:Int64}))) + 2))))
  AND arrayExists(m3_element1 -> ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(m3_element1, {m3_in1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(m3_element1, {m3_in1_key0:String}), ''), 3, 'UTC') > {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m3_age_ms:Int64}) AND parseDateTime64BestEffortOrNull(if(match(JSONExtractString(m3_element1, {m3_in1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(m3_element1, {m3_in1_key0:String}), ''), 3, 'UTC') <= {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m3_age_ms:Int64}), false), JSONExtractArrayRaw(payload, {m3_key0:String}))

-- m0_event_type0 = 'order_placed'
-- m1_event_type0 = 'order_placed'
-- m1_age_ms = 777600000
-- m2_key0 = 'items'
-- m2_in1_key0 = 'ripe_on'
-- m2_window_ms = 777600000
-- m2_event_type0 = 'order_placed'
-- m3_age_ms = 172800000
-- m3_key0 = 'items'
-- m3_in1_key0 = 'ripe_on'
-- m3_window_ms = 777600000
-- m3_event_type0 = 'order_placed'
