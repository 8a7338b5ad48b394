"""Learn a line from examples, then predict with it."""

# Imports up here are done before the meter starts.
from sklearn.linear_model import LinearRegression

from cog import Input


def main(
    inputs: list[float] = Input(description="What is known, one number for each example."),
    outputs: list[float] = Input(description="What came of it, in the same order."),
    question: float = Input(description="What would come of this?"),
) -> dict:
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs but {len(outputs)} outputs: give as many of each")
    if len(inputs) < 3:
        raise ValueError("give at least three examples to learn from")

    examples = [[value] for value in inputs]
    model = LinearRegression().fit(examples, outputs)
    print(f"learned: output = {model.coef_[0]:.3f} * input + {model.intercept_:.3f}")
    return {
        "prediction": round(float(model.predict([[question]])[0]), 3),
        "score": round(float(model.score(examples, outputs)), 4),
    }
