WITH
-- conditions[0]: event_sequence
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, arrayMap(
      merged -> arrayFilter(
        event -> event.3 >= event.1,
        arrayMap(
          (event, below) -> (event.1, 1, if(event.2 = 0, event.3 + below, toInt64(-9000000000000000))),
          merged,
          arrayCumSumNonNegative(arrayMap(
            (before, event) -> before.3 - event.3, arrayPopBack(arrayPushFront(merged, merged[1])), merged
          ))
        )
      ),
      [arraySort(arrayConcat(chain1, arrayMap(time -> (time, 0, toInt64(-9000000000000000)), times2)))]
    )[1] AS chain2
    FROM (
      SELECT user_id, arrayMap(
        merged -> arrayFilter(
          event -> event.3 >= event.1,
          arrayMap(
            (event, below) -> (event.1, 1, if(event.2 = 0, event.3 + below, toInt64(-9000000000000000))),
            merged,
            arrayCumSumNonNegative(arrayMap(
              (before, event) -> before.3 - event.3, arrayPopBack(arrayPushFront(merged, merged[1])), merged
            ))
          )
        ),
        [arraySort(arrayConcat(chain0, arrayMap(time -> (time, 0, toInt64(-9000000000000000)), times1)))]
      )[1] AS chain1, times2
      FROM (
        SELECT user_id, groupArrayIf((toUnixTimestamp64Milli(occurred_at), 1, toUnixTimestamp64Milli(occurred_at + toIntervalMillisecond({c0_within_ms:Int64}))), event_type = {c0_step0:String} AND (JSONType(payload, {c0_step0_where0_key0:String}) = 'String' AND JSONExtractString(payload, {c0_step0_where0_key0:String}) = {c0_step0_where0_value:String})) AS chain0, groupArrayIf(toUnixTimestamp64Milli(occurred_at), event_type = {c0_step1:String}) AS times1, groupArrayIf(toUnixTimestamp64Milli(occurred_at), event_type = {c0_step2:String}) AS times2
        FROM events FINAL
        WHERE event_type IN ({c0_step0:String}, {c0_step1:String}, {c0_step2:String})
          AND occurred_at <= {at:DateTime64(3, 'UTC')}
        GROUP BY user_id
      )
      WHERE notEmpty(chain0)
    )
    WHERE notEmpty(chain1)
  )
  WHERE notEmpty(chain2)
)
SELECT user_id
FROM c0

-- c0_step0 = 'page_viewed'
-- c0_step0_where0_key0 = 'page'
-- c0_step0_where0_value = 'shop'
-- c0_step1 = 'cart_updated'
-- c0_step2 = 'order_placed'
-- c0_within_ms = 7200000
