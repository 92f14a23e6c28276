"""What a run says: pure functions of its history, and listeners to it. Nothing here touches an engine."""
