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
FROM identifications
WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
  AND (dateDiff('day', {from_at:DateTime64(3, 'UTC')}, {at:DateTime64(3, 'UTC')}) > 31 OR position(payload, '\\u') > 0 OR multiSearchAny(payload,
  arrayMap(day -> toString(toDate32({from_at:DateTime64(3, 'UTC')}) + day), range(-1, toInt32(dateDiff('day', {from_at:DateTime64(3, 'UTC')}, {at:DateTime64(3, 'UTC')})) + 2))))
  AND ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(payload, {m1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(payload, {m1_key0:String}), ''), 3, 'UTC') > {from_at:DateTime64(3, 'UTC')} AND parseDateTime64BestEffortOrNull(if(match(JSONExtractString(payload, {m1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(payload, {m1_key0:String}), ''), 3, 'UTC') <= {at:DateTime64(3, 'UTC')}, false)
UNION ALL
SELECT user_id
FROM identifications
WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
  AND (dateDiff('day', {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m2_age_ms:Int64}), {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m2_age_ms:Int64})) > 31 OR position(payload, '\\u') > 0 OR multiSearchAny(payload,
  arrayMap(day -> toString(toDate32({from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m2_age_ms:Int64})) + day), range(-1, toInt32(dateDiff('day', {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m2_age_ms:Int64}), {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m2_age_ms:Int64}))) + 2))))
  AND ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(payload, {m2_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(payload, {m2_key0:String}), ''), 3, 'UTC') > {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m2_age_ms:Int64}) AND parseDateTime64BestEffortOrNull(if(match(JSONExtractString(payload, {m2_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(payload, {m2_key0:String}), ''), 3, 'UTC') <= {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m2_age_ms:Int64}), false)
UNION ALL
SELECT user_id
FROM identifications
WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
  AND (dateDiff('day', {from_at:DateTime64(3, 'UTC')} + toIntervalMillisecond({m3_age_ms:Int64}), {at:DateTime64(3, 'UTC')} + toIntervalMillisecond({m3_age_ms:Int64})) > 31 OR position(payload, '\\u') > 0 OR multiSearchAny(payload,
  arrayMap(day -> toString(toDate32({from_at:DateTime64(3, 'UTC')} + toIntervalMillisecond({m3_age_ms:Int64})) + day), range(-1, toInt32(dateDiff('day', {from_at:DateTime64(3, 'UTC')} + toIntervalMillisecond({m3_age_ms:Int64}), {at:DateTime64(3, 'UTC')} + toIntervalMillisecond({m3_age_ms:Int64}))) + 2))))
  AND ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(payload, {m3_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(payload, {m3_key0:String}), ''), 3, 'UTC') > {from_at:DateTime64(3, 'UTC')} + toIntervalMillisecond({m3_age_ms:Int64}) AND parseDateTime64BestEffortOrNull(if(match(JSONExtractString(payload, {m3_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(payload, {m3_key0:String}), ''), 3, 'UTC') <= {at:DateTime64(3, 'UTC')} + toIntervalMillisecond({m3_age_ms:Int64}), false)
UNION ALL
SELECT user_id
FROM identifications
WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
  AND (dateDiff('day', least({from_at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64}), {at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64})), greatest({from_at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64}), {at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64}))) > 31 OR position(payload, '\\u') > 0 OR multiSearchAny(payload,
  arrayMap(day -> toString(toDate32(least({from_at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64}), {at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64}))) + day), range(-1, toInt32(dateDiff('day', least({from_at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64}), {at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64})), greatest({from_at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64}), {at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64})))) + 2))))
  AND ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(payload, {m4_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(payload, {m4_key0:String}), ''), 3, 'UTC') > least({from_at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64}), {at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64})) AND parseDateTime64BestEffortOrNull(if(match(JSONExtractString(payload, {m4_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(payload, {m4_key0:String}), ''), 3, 'UTC') <= greatest({from_at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64}), {at:DateTime64(3, 'UTC')} + toIntervalMonth({m4_age_months:Int64})), false)

-- m0_event_type0 = 'context_identified'
-- m1_key0 = 'due'
-- m2_age_ms = 172800000
-- m2_key0 = 'due'
-- m3_age_ms = 172800000
-- m3_key0 = 'due'
-- m4_age_months = 1
-- m4_key0 = 'due'
