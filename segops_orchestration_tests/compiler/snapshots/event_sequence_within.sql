WITH
-- conditions[0]: event_sequence
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, arraySort(groupArray((toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(occurred_at + toIntervalMillisecond({c0_within_ms:Int64})), [event_type = {c0_step0:String} AND (JSONType(payload, {c0_step0_where0_key0:String}) = 'String' AND JSONExtractString(payload, {c0_step0_where0_key0:String}) = {c0_step0_where0_value:String}), event_type = {c0_step1:String}, event_type = {c0_step2:String}]))) AS history
    FROM events FINAL
    WHERE event_type IN ({c0_step0:String}, {c0_step1:String}, {c0_step2:String})
      AND occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE length(history) >= 3
    AND arrayFold(
      (state, event) -> (
        event.1,
        arrayMap(
          step -> greatest(state.2[step], if(
            event.3[step], if(step = 1, event.2, if(event.1 > state.1, state.2, state.3)[step - 1]), toInt64(-9000000000000000)
          )),
          range(1, 3)
        ),
        if(event.1 > state.1, state.2, state.3),
        state.4 OR (event.3[3] AND if(event.1 > state.1, state.2, state.3)[2] >= event.1)
      ),
      history,
      (toInt64(-9000000000000000), arrayWithConstant(2, toInt64(-9000000000000000)), arrayWithConstant(2, toInt64(-9000000000000000)), toUInt8(0))
    ).4
)
SELECT user_id
FROM c0

-- c0_step0 = 'page_viewed'
-- c0_step0_where0_key0 = 'page'
-- c0_step0_where0_value = 'shop'
-- c0_step1 = 'cart_updated'
-- c0_step2 = 'order_placed'
-- c0_within_ms = 7200000
