// Where the service is, whatever page and whatever shell a script runs in: two folders above the scripts themselves.
export const ROOT = new URL("../../", import.meta.url).href;
