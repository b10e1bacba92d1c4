// Before the first paint, so that a chosen theme does not flash in the other one.
{
  let chosen = null;
  try { chosen = localStorage.getItem("floodgate-theme"); } catch { /* storage is switched off: auto */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
