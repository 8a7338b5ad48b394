"""What a console shows beside the prediction API: events, previews, bundles, pools."""
