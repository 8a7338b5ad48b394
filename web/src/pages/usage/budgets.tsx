/** What namespaces may spend this month, and how much of it is left. */

import { me, namespace } from "../../app/session";
import { Meter } from "../../parts/meter";
import { money } from "../../parts/text";

/** The share of a budget from which on it is worth a look. */
const HIGH = 0.8;

export function Budgets() {
  const place = namespace.value;
  const every = me.value?.namespaces ?? [];
  const shown = every.filter(({ name, budget }) => budget && (place === "*" || place === "" || name === place));
  const currency = me.value?.currency ?? "";
  if (shown.length === 0) return null;
  return (
    <section class="stack" aria-labelledby="budgets">
      <h2 id="budgets">Budgets of this month</h2>
      <ul class="budgets">
        {shown.map(({ name, budget }) => budget && (
          <li key={name} class="card">
            <div class="row">
              <strong>{name}</strong>
              <span class={`number budget-left ${Number(budget.left) <= 0 ? "field-error" : "quiet"}`}>
                {Number(budget.left) <= 0 ? "spent: nothing more starts" : `${money(budget.left, currency)} left`}
              </span>
            </div>
            <Meter
              label={`Spent of the budget of ${name}`}
              value={Number(budget.spent)}
              most={Number(budget.amount)}
              high={Number(budget.amount) * HIGH}
              said={money(budget.spent, currency)}
            />
            <p class="small quiet number">
              {money(budget.spent, currency)} of {money(budget.amount, currency)} spent (UTC month)
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
