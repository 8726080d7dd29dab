module bench;
  logic        clk = 0;
  logic        rst, key_valid, open, blocked;
  logic [3:0]  key;
  logic [15:0] code;

  code_lock dut (
    .clk(clk), .rst(rst), .key_valid(key_valid), .key(key), .code(code), .open(open), .blocked(blocked)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [15:0] entered;
  int          digits, failures;
  logic        want_open, want_blocked;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic is_valid, input logic [3:0] digit);
    key_valid = is_valid;
    key = digit;
    if (rst) begin
      digits = 0;
      failures = 0;
      want_open = 0;
      want_blocked = 0;
    end else if (is_valid && want_open) begin
      want_open = 0;
    end else if (is_valid && !want_blocked) begin
      entered = {entered[11:0], digit};
      digits++;
      if (digits == 4) begin
        digits = 0;
        if (entered == code) begin
          want_open = 1;
          failures = 0;
        end else begin
          failures++;
          want_blocked = failures == 3;
        end
      end
    end
    @(negedge clk);
    check("open", open, want_open);
    check("blocked", blocked, want_blocked);
  endtask

  task automatic attempt(input logic [15:0] word);
    for (int i = 3; i >= 0; i--) begin
      if (random() % 4 == 0) cycle(0, 4'(random()));
      cycle(1, 4'(word >> (4 * i)));
    end
  endtask

  task automatic restart(input logic [15:0] next);
    rst = 1;
    cycle(1, 4'd0);
    rst = 0;
    code = next;
  endtask

  initial begin
    entered = 0;
    code = 16'h1234;
    {key_valid, key} = '0;
    rst = 1;
    @(negedge clk);
    restart(16'h1234);
    attempt(16'h1234);
    cycle(1, 4'h1);
    attempt(16'h1234);
    cycle(1, 4'h7);
    for (int wrong = 0; wrong < 4; wrong++) begin  // each digit wrong, the others right
      restart(16'h9305);
      attempt(16'h9305 ^ (16'h2 << (4 * wrong)));
      attempt(16'h9305);
      cycle(0, 4'h5);
      cycle(1, 4'h5);
    end
    restart(16'h1111);
    attempt(16'h1112);
    attempt(16'h2111);
    attempt(16'h1111);  // two failures are forgotten
    cycle(1, 4'h1);
    attempt(16'h0111);
    attempt(16'h1011);
    attempt(16'h1101);  // the third in succession
    attempt(16'h1111);
    cycle(1, 4'h1);
    restart(16'h0f0f);
    cycle(1, 4'h0);
    cycle(1, 4'hf);
    restart(16'h0f0f);  // in the middle of an attempt
    attempt(16'h0f0f);
    repeat (300) begin
      if (random() % 8 == 0) restart(16'(random()));
      if (random() % 2 == 0) attempt(code);
      else attempt(code ^ (16'd1 << (random() % 16)));
      if (random() % 2 == 0) cycle(1, 4'(random()));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
