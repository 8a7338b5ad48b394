"""Kinds of cluster: kind, local, the one of the kubeconfig; and the choice between them."""
