-- Ten questions, fixed before they were first run. `usage` is the table. Answers are whole numbers and texts in a fixed order, so that
-- they can be compared. Each begins with its name.

-- models: what each model was used for, over everything
select model, count(*) as calls, sum(input_tokens) as input, sum(output_tokens) as output, sum(cached_tokens) as cached
from usage group by model order by model;

-- tenant_day: one tenant's day
select count(*) as calls, sum(input_tokens + output_tokens) as tokens, max(input_tokens) as largest
from usage where tenant = 't1' and day = date '2026-05-12';

-- hours: one tenant's burn by hour
select day, cast(date_part('hour', time) as bigint) as hour, count(*) as calls, sum(input_tokens + output_tokens) as tokens
from usage where tenant = 't0' group by 1, 2 order by 1, 2;

-- heaviest: who used most
select subject, count(*) as calls, sum(input_tokens + output_tokens) as tokens
from usage group by subject order by tokens desc, subject limit 20;

-- people: how many took part in each event
select event, count(distinct subject) as people from usage group by event order by event;

-- one_record: a record by its id
select tenant, model, input_tokens, output_tokens from usage where id = 'u31415926';

-- busy_hour: large calls of one hour
select count(*) as calls, sum(input_tokens) as tokens, min(input_tokens) as least
from usage
where time >= timestamptz '2026-05-20 10:00:00+00:00' and time < timestamptz '2026-05-20 11:00:00+00:00' and input_tokens > 6000;

-- growth: teams whose use grew most from one day to the next
with one as (select event, team, sum(input_tokens) as tokens from usage where day = date '2026-05-10' group by event, team),
     two as (select event, team, sum(input_tokens) as tokens from usage where day = date '2026-05-11' group by event, team)
select two.event, two.team, two.tokens - one.tokens as more
from one join two on one.event = two.event and one.team = two.team
order by more desc, two.event, two.team limit 20;

-- podium: the three heaviest teams of each event
with sums as (select event, team, sum(output_tokens) as tokens from usage group by event, team),
     ranked as (select event, team, tokens, row_number() over (partition by event order by tokens desc, team) as place from sums)
select event, place, team, tokens from ranked where place <= 3 order by event, place;

-- pattern: texts that are looked into
select model, count(*) as calls from usage where subject like '%77' and lab like 'lab-1%' group by model order by model;
