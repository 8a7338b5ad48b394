import { expect, test } from "vitest";
import { grantOf } from "./grant";

test("a user, and a ServiceAccount, in a namespace", () => {
  expect(grantOf("ann@example.com", "team", "edit")).toBe(
    "kubectl create rolebinding ann-example-com-edit --clusterrole=edit --user=ann@example.com --namespace=team",
  );
  expect(grantOf("system:serviceaccount:default:me", "", "view")).toBe(
    "kubectl create rolebinding me-view --clusterrole=view --serviceaccount=default:me --namespace=NAMESPACE",
  );
});

test("what a shell would read otherwise is quoted", () => {
  expect(grantOf("oidc:O'Neil; rm -rf ~", "a b", "edit")).toBe(
    String.raw`kubectl create rolebinding oidc-o-neil-rm-rf-edit --clusterrole=edit --user='oidc:O'\''Neil; rm -rf ~' --namespace='a b'`,
  );
});
