module bench;
  logic       clk = 0;
  logic       rst, line, valid, framing_error;
  logic [7:0] data;

  uart_receiver dut (
    .clk(clk), .rst(rst), .line(line), .valid(valid), .data(data), .framing_error(framing_error)
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
  logic [7:0] latest;
  logic       known, level;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic value, input logic is_valid, input logic is_error);
    line = value;
    @(negedge clk);
    check("valid", valid, is_valid);
    check("framing_error", framing_error, is_error);
    if (known) check("data", data, latest);
  endtask

  task automatic idle(input int cycles);
    repeat (cycles) cycle(1, 0, 0);
  endtask

  // edges 0 to 152 of a byte; where the receiver does not look, the line is disturbed if noisy is 1
  task automatic send(input logic [7:0] value, input logic stop, input logic noisy);
    for (int i = 0; i <= 152; i++) begin
      if (i < 16) level = 0;
      else if (i < 144) level = 1'(value >> (i / 16 - 1));
      else level = stop;
      if (noisy && i > 0 && i % 16 != 8) level = 1'(random());
      if (i == 152 && stop) begin
        latest = value;
        known = 1;
      end
      cycle(level, i == 152 && stop, i == 152 && !stop);
    end
  endtask

  task automatic disturb(input int cycles);
    for (int i = 0; i <= 8; i++) cycle(i >= cycles, 0, 0);
  endtask

  task automatic reset;
    rst = 1;
    cycle(0, 0, 0);
    rst = 0;
    line = 1;
  endtask

  initial begin
    known = 0;
    line = 1;
    rst = 1;
    @(negedge clk);
    reset();
    idle(40);
    send(8'h55, 1, 0);
    idle(7);
    send(8'h01, 1, 0);
    send(8'h80, 1, 0);  // directly at edge 153
    disturb(8);
    idle(3);
    disturb(1);
    send(8'h0f, 1, 0);
    disturb(3);
    idle(200);
    send(8'h3c, 0, 0);
    repeat (30) cycle(0, 0, 0);  // the line is still 0: no start bit
    idle(1);
    send(8'hc4, 1, 1);
    send(8'h11, 0, 1);
    idle(1);
    send(8'h22, 1, 1);
    for (int i = 0; i < 60; i++) cycle(i > 15, 0, 0);
    reset();  // in the middle of a byte
    idle(170);
    repeat (60) begin
      level = random() % 4 != 0;
      if (level) begin
        send(8'(random()), 1, 1'(random()));
        idle(int'(random() % 5));
      end else begin
        send(8'(random()), 0, 1'(random()));
        repeat (random() % 20) cycle(0, 0, 0);
        idle(1 + int'(random() % 5));
      end
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
